module offrecord

go 1.26
