"""What a hostile file of at most 1 MB costs the program: memory and time of the process.

    python -m bench.hostile [NAME ...]

Makes each file, lets `tenfold data check` read it in a process of its own, and measures the most
memory and the processor time of that process; starting Python is part of both. Writes
bench/results/hostile.json and prints the table of docs/safety.md.
"""

import gzip
import json
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

MB = 1 << 20
RESULTS = Path(__file__).parent / "results" / "hostile.json"


def long_cell(path: Path) -> None:
    path.write_text(f"a,y\n{'x' * 131_000},1\n" + "b,2\n" * 200_000)


def many_columns(path: Path) -> None:
    """2,000 columns of text that differ in each row."""
    names = [f"c{i}" for i in range(2000)]
    rows = [",".join(f"w{i * 7 + j} b" for j in range(1999)) + f",{i % 2}" for i in range(50)]
    path.write_text("\n".join([",".join([*names[:-1], "y"]), *rows]))


def many_numbers(path: Path) -> None:
    names = [f"c{i}" for i in range(2000)]
    rows = [",".join(str(i * 31 % (j + 7)) for j in range(1999)) + f",{i % 2}" for i in range(120)]
    path.write_text("\n".join([",".join([*names[:-1], "y"]), *rows]))


def many_rows(path: Path) -> None:
    path.write_text("a,y\n" + "1,2\n3,4\n" * 120_000)


def open_quote(path: Path) -> None:
    path.write_text('a,y\n"b,1\n' + "c,2\n" * 240_000)


def quotes(path: Path) -> None:
    path.write_text("a,y\n" + '"",1\n' * 190_000)


def run_lengths(path: Path) -> None:
    """Parquet: few rows of many columns are small, and so are many rows of one value."""
    import pyarrow as pa
    from pyarrow import parquet

    column = pa.array(np.zeros(490_000, np.int32))
    table = pa.table({**{f"c{i}": column for i in range(19)}, "y": column})
    parquet.write_table(table, path, compression="zstd")


def long_texts(path: Path) -> None:
    """Parquet: a text of 100 kB in each of 2,500 rows, stored once."""
    import pyarrow as pa
    from pyarrow import parquet

    codes = pa.array(np.zeros(2500, np.int32))
    text = pa.DictionaryArray.from_arrays(codes, pa.array(["word " * 20_000]))
    parquet.write_table(pa.table({"a": text, "y": pa.array(np.arange(2500) % 2)}), path)


def deep_json(path: Path) -> None:
    path.write_text("[" * 500_000 + "]" * 500_000)


def keyed_json(path: Path) -> None:
    path.write_text(json.dumps([{f"k{i}": i, "y": i % 2} for i in range(40_000)]))


def flat_json(path: Path) -> None:
    path.write_text(json.dumps([{"a": i % 7, "y": i % 2} for i in range(50_000)]))


def gzip_bomb(path: Path) -> None:
    path.write_bytes(gzip.compress(b"a,y\n" + b"1,2\n" * 60_000_000, 9))


def workbook_bomb(path: Path) -> None:
    """A workbook whose sheet is 200 MB of equal cells."""
    row = b"<row>" + b'<c t="n"><v>1</v></c>' * 1000 + b"</row>"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("[Content_Types].xml", "<Types/>")
        book.writestr("xl/worksheets/sheet1.xml", b"<worksheet><sheetData>" + row * 9_000)


def npz_bomb(path: Path) -> None:
    x, y = np.zeros((300_000, 28, 28), np.uint8), np.zeros(300_000, np.int64)
    np.savez_compressed(path, x_train=x, y_train=y)


def many_scans(path: Path) -> None:
    """A folder with a progressive JPEG of many scans beside small pictures."""
    from PIL import Image

    for label in ("a", "b"):
        (path / label).mkdir(parents=True)
        for i in range(12):
            noise = np.random.default_rng(i).integers(0, 255, (28, 28), np.uint8)
            Image.fromarray(noise).save(path / label / f"{i}.png")
    Image.fromarray(np.zeros((2000, 2000), np.uint8)).save(path / "b/x.jpg", progressive=True)
    content = (path / "b/x.jpg").read_bytes()
    start = content.rindex(b"\xff\xda")
    scan = content[start:-2]
    n_scans = (MB - len(content)) // len(scan)
    (path / "b/x.jpg").write_bytes(content[:-2] + scan * n_scans + b"\xff\xd9")


FILES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "CSV: a cell of 131,000 characters, then 200,000 rows": ("cell.csv", long_cell),
    "CSV: 2,000 columns of distinct texts": ("columns.csv", many_columns),
    "CSV: 2,000 columns of numbers": ("numbers.csv", many_numbers),
    "CSV: 240,000 rows": ("rows.csv", many_rows),
    "CSV: a quote that is never closed": ("open.csv", open_quote),
    "CSV: 190,000 quoted cells": ("quotes.csv", quotes),
    "Parquet: 9,800,000 equal numbers": ("runs.parquet", run_lengths),
    "Parquet: one text of 100 kB in 2,500 rows": ("texts.parquet", long_texts),
    "JSON: 500,000 brackets": ("deep.json", deep_json),
    "JSON: 40,000 objects with different keys": ("keys.json", keyed_json),
    "JSON: 50,000 objects": ("flat.json", flat_json),
    "gzip: 240 MB unpacked": ("bomb.csv.gz", gzip_bomb),
    "Excel: a workbook of 9,000,000 cells": ("bomb.xlsx", workbook_bomb),
    "npz: 235 MB unpacked": ("bomb.npz", npz_bomb),
    "a folder with a JPEG of many scans": ("scans", many_scans),
}


def cost(path: Path) -> dict[str, float | int | str]:
    """The most memory (MB) and processor seconds of the program on a file, and what it said."""
    command = [sys.executable, "-m", "tenfold", "data", "check", str(path)]
    if path.suffix not in {"", ".npz"}:
        command += ["--target", "y"]
    log = path.parent / "log.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    said = re.search(r"\[(E\d+)\]\s*$", log.read_text())
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    return {
        "bytes": sum(file.stat().st_size for file in files),
        "memory_mb": round(usage.ru_maxrss / 1024),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "answer": f"refused ({said[1]})" if said else "read",
    }


def main(names: list[str]) -> None:
    """Measure the files, or those whose description holds one of the words."""
    results = json.loads(RESULTS.read_text()) if names and RESULTS.exists() else {}
    print("| file of at most 1 MB | bytes | memory | processor | answer |\n|---|---|---|---|---|")
    for what, (name, make) in FILES.items():
        if names and not any(word in what for word in names):
            continue
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            # In a process of its own: what this one holds would count as memory of its child.
            maker = multiprocessing.get_context("spawn").Process(target=make, args=(path,))
            maker.start()
            maker.join()
            found = results[what] = cost(path)
        size, memory = f"{found['bytes']:,}", f"{found['memory_mb']:,} MB"
        print(f"| {what} | {size} | {memory} | {found['cpu_seconds']} s | {found['answer']} |")
        sys.stdout.flush()
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
