-- What erasures did is counted where every service counts it.
drop table erasures;
