"""Measures of images, of sets of images and of networks: pure functions, results are dataclasses.

Nothing is imported here: `statistics` works without torch, and the report needs only that.
"""
