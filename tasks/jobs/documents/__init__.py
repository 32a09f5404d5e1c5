"""Thousands of documents through a classifier or a language model: plan, shards, collect."""
