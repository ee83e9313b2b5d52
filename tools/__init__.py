"""What only those need who maintain the series: `make readme`, `make stamp`."""
