"""The controller: watches fill the cache and the work queue, workers empty the queue.

`controller` starts and stops the parts. `custom_objects` takes kopf's events of the four kinds. `children`
takes the events of all objects that the operator creates. `worker` reconciles one object at a time. `resync`
finds changes that no watch reports, `pod_sweep` those of pods, and `autoscaler_sweep` those of autoscalers.
`namespaces` sets namespaces without rights aside. `probes` answers the kubelet. Nothing here knows kopf.
"""
