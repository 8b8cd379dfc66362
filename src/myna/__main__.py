"""Let `python -m myna` be the command line."""

from myna.cli.main import main

if __name__ == "__main__":
    main()
