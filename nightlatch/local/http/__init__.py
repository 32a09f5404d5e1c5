"""The wire: requests, replies, which API a request is for, and the port."""
