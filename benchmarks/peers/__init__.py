"""The same question behind other servers, each written as its own documentation does it."""
