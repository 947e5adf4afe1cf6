"""The uniform routes: every question for one or several files, addresses or base64 texts, and the list of models."""
