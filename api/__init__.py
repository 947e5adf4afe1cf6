"""The HTTP surface: routes, schemas, middleware and documents."""
