"""`python -m pinn` is the command line."""

from pinn.cli import main

if __name__ == "__main__":
    main()
