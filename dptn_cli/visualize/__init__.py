"""Images for people to look at: skeletons and contact sheets."""
