"""The jobs of a news site: sitemaps from its articles, and a check of every picture in them."""
