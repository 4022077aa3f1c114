"""The repository checks its own claims: the code's shape, words, documents, what is never committed."""
