"""Work that is spread over processes and machines: the prediction of volumes, tile by tile."""
