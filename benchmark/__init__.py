"""memobench: has a generative model of medical images memorised its training patients?"""

__version__ = "0.1.0"
