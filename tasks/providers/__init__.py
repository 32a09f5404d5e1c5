"""What jobs ask of the world outside: language models (`chat`) and search (`search`), one interface each.

Behind an interface one call is one try. Repeating (`repeating`), pacing (`budget`) and giving up are the
caller's, because only the caller knows what a try is worth.
"""
