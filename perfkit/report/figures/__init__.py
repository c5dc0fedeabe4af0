"""One module a figure: ``*_info`` gives its data, ``*_figure`` draws it."""
