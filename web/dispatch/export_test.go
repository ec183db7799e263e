package dispatch

// EndingID is the id of the attempt at the end of a pause's time.
var EndingID = endingID
