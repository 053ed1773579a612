"""`python -m dptn_cli`."""

from dptn_cli.cli import app

if __name__ == "__main__":
    app()
