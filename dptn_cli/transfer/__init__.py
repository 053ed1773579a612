"""Pose transfer: from options to a checked job, and from the job to images."""
