"""How often the drift monitor speaks when nothing drifts, and how soon when something does.

Events are drawn as counts: where events are independent of each other, the counts of a pane
over the cells of a feature are a multinomial draw. Drawing that is the same as drawing the
events and counting them, only a thousand times faster. All that is done with the counts
is done by the product's own code.
"""
