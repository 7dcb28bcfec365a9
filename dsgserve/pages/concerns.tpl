% # The datasets that a document is for; nothing if it is for none.
% if concerns:
<p class="soft">For \\
% for number, concern in enumerate(concerns):
{{", " if number else ""}}<bdi dir="auto">{{concern}}</bdi>\\
% end
</p>
% end
