"""Shapes in, numbers out: areas, unions, pixel runs. The only place that knows shapely and pycocotools."""
