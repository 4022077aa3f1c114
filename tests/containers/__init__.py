"""The image and the store as users run them: in containers, with a real Docker daemon."""
