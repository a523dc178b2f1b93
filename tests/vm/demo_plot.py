# SPDX-License-Identifier: LGPL-2.1-or-later
"""The demo's plot: a guest's clock errors over time, stock and with clockferry, drawn by gnuplot."""

import subprocess

_GNUPLOT_SCRIPT = """\
set terminal {terminal}
set output '{output}'
set multiplot layout 2,1 title 'A guest’s clocks across virsh migrate --live' font ',15'
set lmargin 12
set rmargin 3
set grid lc rgb '#dddddd'
set border 3 lc rgb '#555555'
set tics nomirror
set key bottom left Left reverse samplen 1
set xrange [{begin}:{end}]
set style rect fc rgb '#eeeeee' fs solid noborder
set object 1 rect from {blackout_begin}, graph 0 to 0, graph 1 behind
set label 1 'blackout' at {blackout_begin}, graph 0.95 right offset -0.5,0 tc rgb '#777777'
set offsets 0, 0, graph 0.1, graph 0.1

set ylabel 'CLOCK_REALTIME − true time, ms'
plot '{stock}' using 1:2 with points pt 7 ps {size} lc rgb '#c0392b' title 'stock QEMU and libvirt', \\
     '{fixed}' using 1:2 with points pt 7 ps {size} lc rgb '#1f6fb2' title 'with clockferry'
unset key
set xlabel 'seconds since the guest ran on the destination'
set ylabel 'kvmclock − TSC, ms'
plot '{stock}' using 1:3 with points pt 7 ps {size} lc rgb '#c0392b' notitle, \\
     '{fixed}' using 1:3 with points pt 7 ps {size} lc rgb '#1f6fb2' notitle
unset multiplot
"""

_SECONDS_SHOWN = 4


def draw(directory, stock, fixed):
    """Write both series as text, and the plot as SVG and PNG; returns the pictures' paths."""
    series_paths = {}
    for name, verdict in (("stock", stock), ("fixed", fixed)):
        series_paths[name] = directory / f"{name}.txt"
        series_paths[name].write_text(_format_series(verdict))

    pictures = []
    for suffix, terminal, size in (("svg", "svg noenhanced size 900,640 dynamic font 'sans-serif,12' background '#ffffff'", 0.25),
                                   ("png", "pngcairo noenhanced size 1350,960 font 'sans,12' background '#ffffff'", 0.6)):
        path = directory / f"clock-error.{suffix}"
        script = _GNUPLOT_SCRIPT.format(
            terminal=terminal, output=path, begin=-_SECONDS_SHOWN, end=_SECONDS_SHOWN, size=size,
            blackout_begin=-max(stock.blackout_ns, fixed.blackout_ns) / 1e9, **series_paths)
        subprocess.run(["gnuplot"], input=script, text=True, check=True)
        pictures.append(path)
    return pictures


def _format_series(verdict):
    """Columns: seconds since the first sample on the destination, errors of CLOCK_REALTIME and of kvmclock against TSC in ms."""
    times_ns = [point.true_time_ns for point in verdict.series]
    gaps = [later - earlier for earlier, later in zip(times_ns, times_ns[1:])]
    arrival_ns = times_ns[gaps.index(max(gaps)) + 1]
    return "# seconds\trealtime_error_ms\tkvmclock_against_tsc_ms\n" + "".join(
        f"{(point.true_time_ns - arrival_ns) / 1e9:.6f}\t{point.realtime_error_ns / 1e6:.6f}\t{point.raw_against_tsc_ns / 1e6:.6f}\n"
        for point in verdict.series)
