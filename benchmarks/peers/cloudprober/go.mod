module console-exporter.invalid/benchmarks/peers/cloudprober
go 1.26
require github.com/cloudprober/cloudprober v0.14.4
