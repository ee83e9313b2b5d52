"""What the paper does not show: unseen rubrics, two styles at once, whether a style holds, the rubric as a reward."""
