"""Refinement of a network's reconstruction, of another result or of a flat object."""
