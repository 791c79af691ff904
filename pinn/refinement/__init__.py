"""Refinement: from a network's picture, another result or nothing to the best object there is."""
