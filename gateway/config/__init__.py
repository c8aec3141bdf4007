"""Configuration: written once as a schema, loaded in layers, printed as the documented YAML."""
