"""Distribution: households and what they need, the box in their hands, the limits, and the meals of a breakfast."""
