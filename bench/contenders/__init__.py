"""Who answers beside us: floors that allow everything, and others who decide the same case."""
