"""How the bundled weights come about: one recipe for each model, and the protocol that measures it. Not served."""
