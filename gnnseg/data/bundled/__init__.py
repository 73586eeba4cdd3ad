"""MovieLens as the package ships it; terms in ``LICENSE-MOVIELENS.txt``, origin in ``convert.py``."""
