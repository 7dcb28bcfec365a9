"""The program ``dsgctl``."""

from dsgctl.commands import main

if __name__ == "__main__":
    main()
