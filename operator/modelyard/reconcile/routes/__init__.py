"""Routes of Services: the Gateway, the status that the data plane reports, and the addresses of all Services.

Nothing here reads or writes the cluster. `controller.route_watches` feeds it, `reconcile.services.route` uses
it.
"""
