"""`python -m holdfast`: how the supervisor starts the other processes, whatever PATH says."""

from holdfast.cli.main import main

if __name__ == "__main__":
    main()
