"""Files and folders: reading, writing and listing them, on a disk or behind a URL."""
