"""The face for existing clients of the national axis: they get our endpoint, a systemid and a secret."""
