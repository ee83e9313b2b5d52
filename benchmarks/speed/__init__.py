"""`make bench`: the series and the libraries take turns, each side in a process of its own.

`stock`, `trained` and `orders` import nothing of the series: they also run where other versions are installed.
"""
