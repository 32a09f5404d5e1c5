"""What documents are sent with elsewhere: a bare aiohttp loop, and the openai SDK on its own."""
