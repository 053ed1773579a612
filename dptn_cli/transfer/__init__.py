"""Pose transfer: from options to a checked job, and from the job to images.

`plan` turns options into a `Job`, with `checks` on every pair and `pose_lookup` for the keypoints.
`pipeline` runs it: `reader` makes batches of items (`framing` places the people), `infer` images
of batches, `writer` files of images. `run` keeps the records: the `manifest` of every item, and
`run_json`. `contact_sheets` shows the results.
"""
