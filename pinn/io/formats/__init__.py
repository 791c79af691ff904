"""The scan formats, a module for each or for each family; `registry` knows them all."""
