"""What a build would change and for whom; two versions of a view compared; views that are no more."""
