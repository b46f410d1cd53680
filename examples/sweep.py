"""Many trainings, one table: what do more neurons and layers buy, and what do they cost?"""

from sklearn.datasets import load_digits

import tenfold

digits = load_digits()
data = tenfold.Dataset.from_arrays(
    (digits.images * 15).astype("uint8"), digits.target, name="digits"
)

# Each setting with two seeds; ranked on validation rows, the best one measured on test rows.
tried = tenfold.sweep(data, hidden=[4, 64], layers=[1, 2], seeds=2, epochs=20, shift_px=0)
for group in tried.points:
    print(
        group.point, f"{group.mean:.4f} +- {group.deviation:.4f}", f"{group.parameters:,} numbers"
    )
print("\n".join(tried.findings))
print("best, on the test rows:", tried.best.evaluation.accuracy)
