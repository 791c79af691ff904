"""Networks: normalised frames in, complex object patches out, by name from a registry."""
