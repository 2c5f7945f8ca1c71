"""Models, one file each: ``build(in_features, num_classes, depth, norm_layer, ...) -> nn.Module``."""
