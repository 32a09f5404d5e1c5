"""Writers of one sitemap from one table of pages, each a program of its own: `bench.sitemap` runs them."""
